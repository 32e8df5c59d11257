"""The fault run: many jobs, two APIs and four workers, and from outside everything that can happen to them.

``make torture`` is the long form, ``test_short.py`` the one of ``make test``. What was acknowledged is written down by
those who submit (``submitters``), what was started by the handlers themselves (``apps/steps.py``), what was mailed by
the mail server (``mailsink``), what was done to the processes by who did it (``nemesis``). ``verdict`` compares them.
"""
