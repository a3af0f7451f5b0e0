"""One module a verb: each reads directories and writes one, under the contract that `runner` keeps for all."""
