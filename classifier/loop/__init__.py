"""The run loop's own nouns: the interface of an intake (`Intake`, `Changes`), and when a step is due (`Schedule`)."""
