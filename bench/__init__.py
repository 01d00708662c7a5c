"""How fast Furrow is, beside a bare scan of the same columns on the same machine: ``python -m bench [--quick]``."""
