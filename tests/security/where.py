"""Where every number of the two lists is tested: the matrix of bad input (I) and the security checklist (S).

Numbers whose rows stand in ``matrix_*.py`` or in the names of this folder's tests are found there. Of the others this
table says which test of which file has them, or why there is nothing to test in this release.
"""

from __future__ import annotations

I_NUMBERS = (
    "001 002 003 005 006 007 009 011 012 013 014 015 016 018 019 020 022 023 024 026 027 029 030 032 033 035 036 038 "
    "039 040 042 043 044 045 047 049 050 051 052 055 056 059 060 061 062 063 065 066 067 068 069 071 073 075 076 077 "
    "080 081 083 085 086 088 089 090 091 092 093 095 097 099 100 101 105 106 107 110 114 115 116 117 119 120 122 124 "
    "126 129 130 131 132 134 135 136 138"
)
S_NUMBERS = (1, 2, *range(5, 67))

TESTED: dict[str, str] = {
    "I001": "tests/api/test_contract.py",
    "I040": "tests/api/test_body.py",
    "I051": "tests/api/test_keys.py::test_a_request_that_is_being_stored_is_in_flight",
    "I059": "tests/api/test_outages.py::test_without_the_store_everything_is_a_503_with_a_time_to_come_back",
    "I060": "tests/redis/test_outages.py",
    "I099": "tests/duties/test_pruner.py::test_a_final_job_goes_when_its_days_are_over_and_not_before",
    "I101": "tests/security/test_checklist.py::test_s15_no_route_opens_without_credentials",
    "I114": "tests/browser/test_pages.py::test_what_a_job_holds_stays_text",
    "I119": "tests/service/test_operate.py::test_a_requeued_job_has_a_new_life_and_the_same_fence",
    "I131": "tests/api/test_outages.py::test_health_with_neither_store_nor_hints_is_unavailable",
    "I134": "tests/unit/test_settings.py::test_no_secret_is_repeated_in_a_refusal",
    "I135": "tests/artifacts/test_folder.py::test_preparing_says_where_nothing_can_be_written",
    "I136": "tests/flow/test_commands.py::test_a_port_in_use_is_named",
    "I138": "tests/sqlite/test_file.py::test_a_newer_schema_is_refused_and_left_as_it_is",
    "S01": "tests/unit/test_settings.py::test_any_other_address_needs_keys_and_a_login_and_both_are_asked_for_at_once",
    "S07": "tests/unit/test_settings.py::test_a_login_is_set_as_a_whole_or_not_at_all",
    "S09": "tests/api/test_logins.py::test_no_other_login_opens",
    "S11": "tests/unit/test_environment.py::test_a_secret_is_read_from_the_file_that_is_named",
    "S14": "tests/security/test_fuzzed.py",
    "S20": "tests/browser/test_pages.py::test_every_page_is_sound",
    "S27": "tests/security/test_accepted.py::test_i066_s27_no_text_is_a_formula_to_whoever_opens_the_file",
    "S28": "tests/builtin/test_message.py",
    "S30": "tests/artifacts/test_folder.py::test_only_plain_files_of_the_folder_itself_are_opened",
    "S33": "tests/worker/test_claiming.py",
    "S34": "tests/worker/test_executor.py",
    "S36": "tests/security/matrix_envelope.py",
    "S37": "tests/api/test_connection.py",
    "S38": "tests/security/test_wire.py::test_slow_headers_and_bodies_hold_up_nobody",
    "S42": "tests/service/test_settle.py::test_whatever_a_failure_says_is_stored_and_readable",
    "S43": "tests/duties/test_pruner.py::test_a_full_batch_is_followed_by_another_after_a_short_pause",
    "S44": "tests/unit/test_jsonschema.py",
    "S45": "tests/api/test_queries.py",
    "S48": "tests/builtin/test_email_payload.py",
    "S49": "tests/builtin/test_mail_security.py::test_a_server_that_offers_no_encryption_gets_neither_login_nor_mail",
    "S51": "tests/flow/test_commands.py::test_migrate_and_settings_and_version_and_usage",
    "S52": "tests/unit/test_schema.py::test_a_wrong_value_is_repeated_nowhere_whatever_it_stands_for",
    "S53": "tests/api/test_erasure.py",
    "S57": "tests/redis/test_lists.py::test_what_is_no_id_of_ours_is_dropped_and_counted",
    "S58": "tests/sqlite/test_file.py::test_only_the_owner_reads_the_database_and_its_folder",
    "S62": "tests/compose/test_image.py",
    "S66": "tests/unit/test_settings.py::test_failpoints_are_refused_outside_tests",
}
"""A file, or one of its tests; that it is there is a test of its own."""

NOT_IN_THIS_RELEASE: dict[str, str] = {
    "I090": "no list of allowed recipients; whoever has a key may write to anybody: SECURITY.md says so",
    "I132": "the metrics come with their own tests",
    "S02": "keys are settings: their owner makes and keeps them, a process holds their hashes alone",
    "S05": "a key is revoked by a restart without it",
    "S08": "no list of weak passwords; a login is refused unless it is whole",
    "S12": "one admin role",
    "S13": "TLS is the proxy's in front, and so is Strict-Transport-Security",
    "S39": "no limit of requests per key: the proxy's in front",
    "S40": "no limit of pending jobs per key",
    "S41": "no quota for the output folder; of a full disk: tests/artifacts/test_full_disk.py",
    "S46": "at most 50 recipients a message; no caps per hour or domain",
    "S47": "no webhooks",
    "S54": "payloads are not encrypted at rest; encrypt the disk",
    "S56": "TLS and roles of PostgreSQL are what DATABASE_URL asks for; SECURITY.md says what to ask for",
    "S60": "floors are in pyproject.toml; headers of mails are written by our own code (tests/builtin/test_header.py)",
    "S61": "ruff's S rules run in make check",
    "S63": "no systemd unit is shipped",
}
