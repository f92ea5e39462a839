"""What runs beside every server of a SentinelGroup: it makes one server the master and moves the role without losing writes.

Sentinel itself notices masters that hang or are gone, and fails over. It is slow to do what is known for certain (a crashed
process, a planned restart), and it can't tell who should begin when nobody is master. The agents do that, by Sentinel's own
protocol: a strict majority of the sentinels votes for an epoch, and whoever has it announces the new master under it.
"""
