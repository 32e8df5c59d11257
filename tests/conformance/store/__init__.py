"""The laws S1 to S7 of ``treadle.store.protocol``."""
