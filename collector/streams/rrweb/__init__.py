"""The decoder of rrweb events, shared by all streams that record with rrweb, and a stream for plain rrweb recordings."""
