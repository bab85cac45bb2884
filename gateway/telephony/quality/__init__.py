"""Quality reviews of calls, and the scorecards they follow."""
