"""The mailbox: a mail server for development that keeps what it receives and shows it.

A room of its own: it imports the ground floor, aiosmtpd, Starlette and msgspec, and nothing else of
the house. Production never starts it.
"""
