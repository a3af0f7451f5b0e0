"""What a person types: options, progress, exit codes. No logic, and nothing heavy is imported until a verb runs."""
