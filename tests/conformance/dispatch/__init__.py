"""The laws D1 to D3 of ``treadle.dispatch.protocol``."""
