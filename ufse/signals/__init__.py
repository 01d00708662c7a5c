"""The signals, a file each; ``registry`` lists them. CONTRIBUTING.md says how to add one."""
