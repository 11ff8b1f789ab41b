"""The identities of matrix calculus, a file a family: each is one or two terms."""
