"""What ``treadle bench`` measures, and how."""
