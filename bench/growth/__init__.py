"""What a job costs where there is more of everything: backlog, history, payload, slots, processes; and idleness."""
