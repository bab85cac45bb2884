"""How fast the gateway is: `python -m loadtests`. README.md says what each number means."""
