"""Pure array steps: no files, no network, no windows."""
