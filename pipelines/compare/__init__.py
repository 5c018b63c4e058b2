"""The fair comparison of models: one protocol, several seeds, a leaderboard and a report. See docs/compare.md."""
