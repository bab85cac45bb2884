"""Faults put into the code on purpose, one at a time, to see whether a test notices.

    python -m tests.mutants                  # all of them: 20 to 30 minutes on 2 cores
    python -m tests.mutants --room fold      # those of one catalogue
    python -m tests.mutants --only ID        # one, and what its tests print

`catalogue/*.toml` holds them: hand-picked, each the kind of mistake a careful programmer makes.
"""
