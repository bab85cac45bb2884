"""How fast the gateway is: `python -m loadtests`. README.md explains each figure."""
