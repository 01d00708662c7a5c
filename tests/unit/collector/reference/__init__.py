"""The contract's row for one event as it was before its intake was made faster: what the faster code is compared with."""
