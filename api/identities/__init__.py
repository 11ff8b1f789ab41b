"""The identities of matrix calculus, a file a family: each is its differential, its shapes and its docstring."""
