"""The queue and what belongs to it: claims, leases, costs, turns, schedules, memos."""
