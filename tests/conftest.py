"""What every test may take as an argument."""

pytest_plugins = ["tests.embedded", "tests.servers", "tests.desk"]
