"""Tests of a stack that runs already: the containers of compose.yaml, say. They see it from outside only.

    TREADLE_TEST_STACK_URL=http://127.0.0.1:3000
    TREADLE_TEST_STACK_MAIL_URL=http://127.0.0.1:8025
    TREADLE_TEST_STACK_OUTPUT=output
    ADMIN_USER, ADMIN_PASS: the stack's admin login, where it has one

Without an address nothing here is collected. ``tests/flow/test_composed.py`` runs them on processes.
"""
