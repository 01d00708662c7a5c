"""Sign-in by OpenID Connect: the provider, its tokens, and what a person's groups allow."""
