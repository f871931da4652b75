"""Every maximum of the program, with its unit, in one place. What the config file can change has its default here."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

NAME_CHARACTERS_MAX: Final = 255
TAGS_PER_PUSH_MAX: Final = 20

# OCI distribution specification: at least 4 MiB should be accepted; containerd and containers/image take no more.
MANIFEST_BYTES_MAX: Final = 4 * MIB
PARSED_ON_THE_LOOP_BYTES_MAX: Final = 32 * KIB
MANIFEST_NESTING_MAX: Final = 32
MANIFEST_REFERENCES_MAX: Final = 4096
INDEX_DEPTH_MAX: Final = 8
DESCRIPTOR_SIZE_MAX: Final = 2**63 - 1
ANNOTATIONS_BYTES_MAX: Final = 1 * MIB

BLOB_BYTES_MAX: Final = 100 * GIB
BLOB_INLINE_BYTES_MAX: Final = 16 * KIB
CHUNK_BATCH_BYTES: Final = 512 * KIB
BATCHES_IN_FLIGHT_MAX: Final = 64
BLOB_THREADS: Final = 8
# Of these threads so many may read from clients, each so much in one turn.
DRAWS_AT_ONCE_MAX: Final = 6
DRAW_BYTES_MAX: Final = 8 * MIB
DRAW_BUFFER_BYTES: Final = 1 * MIB
# A body that is shorter is not worth a turn.
DRAW_BYTES_MIN: Final = 256 * KIB
BLOB_SWEEP_THREADS: Final = 2

PROMOTION_MANIFESTS_MAX: Final = 10_000
PROMOTIONS_EXPIRED_PER_STEP: Final = 100
IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255
PROMOTION_COMMENT_CHARACTERS_MAX: Final = 1_000

UPLOADS_PER_ACCOUNT_MAX: Final = 10_000
UPLOAD_HASHERS_KEPT_MAX: Final = 4_096
UPLOAD_IDLE_SECONDS_MAX: Final = 24 * 3600
UPLOAD_REAP_ROWS_MAX: Final = 500
BLOB_LEASE_SECONDS: Final = 24 * 3600
BLOB_QUARANTINE_SECONDS: Final = 3600
RECLAIM_BLOBS_PER_STEP: Final = 200
RECLAIM_SAMPLE: Final = 20
ORPHAN_SECONDS: Final = 24 * 3600
AUDIT_CUT_REST_SECONDS: Final = 24 * 3600
AUDIT_CUT_ROWS_MAX: Final = 2_000
JOB_TERM_SECONDS: Final = 60
CHECK_TERM_SECONDS: Final = 10
# Every stored byte is read again in this time; as much as this is read in a step.
VERIFY_PERIOD_SECONDS: Final = 30 * 24 * 3600
VERIFY_BYTES_PER_STEP: Final = 256 * MIB
VERIFY_ROWS_PER_STEP: Final = 1000
HOLDERS_NAMED_MAX: Final = 20

# A small transaction: pushes wait for it.
KEEP_DELETED_SECONDS: Final = 14 * 24 * 3600
EXPIRY_PLANNED_PER_REPORT: Final = 500
PULLS_COUNTED_MAX: Final = 50_000
PULLS_KEPT_SECONDS: Final = 10.0
EXPIRY_ROWS_PER_STEP: Final = 20
TAG_HISTORY_ROWS_MAX: Final = 1001

PAGE_ITEMS_MAX: Final = 1000
PAGE_ITEMS_DEFAULT: Final = 1000
PAGE_CURSOR_BYTES_MAX: Final = 4 * KIB
REFERRERS_ITEMS_MAX: Final = 1000
# oras-go and go-containerregistry read no more than 4 MiB of an index.
REFERRERS_BYTES_MAX: Final = 3 * MIB
RANGES_PER_READ_MAX: Final = 64

WRITE_GROUP_MAX: Final = 64
BRIEF_GROUP_MAX: Final = 32
"""Writes of a few statements each that the loop runs in one go."""
BRIEF_MANIFEST_BYTES_MAX: Final = 16 * KIB
"""About a hundred references; what is longer is written by the thread."""
WAL_CHECKPOINT_PAGES: Final = 8_000
BODY_CACHE_BYTES_MAX: Final = 8 * MIB
TAGS_REMEMBERED_MAX: Final = 4_096
BLOBS_REMEMBERED_MAX: Final = 512
CREDENTIAL_CACHE_ENTRIES_MAX: Final = 4_096
CREDENTIAL_CACHE_SECONDS: Final = 60

SESSIONS_PER_ACCOUNT_MAX: Final = 100
SESSION_SEEN_SECONDS: Final = 60
SESSION_AGENT_CHARACTERS_MAX: Final = 200
SIGN_ON_SECONDS_MAX: Final = 600
DEVICE_LOGINS_MAX: Final = 10_000
DEVICE_LOGIN_SECONDS: Final = 600
DEVICE_POLL_SECONDS: Final = 3
LOGIN_TOKEN_SECONDS: Final = 90 * 24 * 3600
FORM_BYTES_MAX: Final = 64 * KIB
FORM_FIELDS_MAX: Final = 64
OWN_PATH_CHARACTERS_MAX: Final = 1_024
RULES_MAX: Final = 100
PATTERNS_MAX: Final = 100
NAMING_RULES_MAX: Final = 200
NAME_PATTERN_WILD_MAX: Final = 3
NAME_CORRECTIONS_MAX: Final = 3
NAMES_JUDGED_MAX: Final = 4_096
REST_BODY_BYTES_MAX: Final = 64 * KIB
PASSWORD_CHARACTERS_MIN: Final = 12
PASSWORD_CHARACTERS_MAX: Final = 1024
ACCESS_TOKENS_PER_ACCOUNT_MAX: Final = 100
ACCESS_TOKEN_NAME_CHARACTERS_MAX: Final = 100
ACCESS_TOKEN_SECONDS_MAX: Final = 10 * 365 * 24 * 3600
LAST_USE_SECONDS: Final = 60
LAST_USES_REMEMBERED_MAX: Final = 10_000
ACCOUNTS_POLL_SECONDS: Final = 0.25

# Passwords that are kept elsewhere. However many logins fail, a source is asked once in this pause.
SECRET_READ_PAUSE_SECONDS: Final = 2.0
SECRET_LOGIN_WAIT_SECONDS: Final = 3.0
SECRET_LOOK_SECONDS: Final = 1.0
SECRET_BYTES_MAX: Final = 4_096
SECRETS_READ_AT_ONCE: Final = 8
VAULT_ANSWER_BYTES_MAX: Final = 1 * MIB

FILL_WITHHELD_BYTES: Final = 64 * KIB
FILL_POLL_SECONDS_MAX: Final = 0.02
UPSTREAM_REDIRECTS_MAX: Final = 5
UPSTREAM_ANSWER_SECONDS_MAX: Final = 10
UPSTREAM_TRIES_MAX: Final = 3
UPSTREAM_FETCHES_AT_ONCE: Final = 16
ABSENT_ENTRIES_MAX: Final = 10_000
ABSENT_SECONDS_MAX: Final = 60
TAGS_LIST_BYTES_MAX: Final = 8 * MIB
TAGS_LIST_PAGES_MAX: Final = 200
LISTS_KEPT_ENTRIES_MAX: Final = 64
LISTS_KEPT_SECONDS: Final = 30
FILL_PIECE_BYTES: Final = 128 * KIB
FILL_SECONDS_MAX: Final = 6 * 3600
FILL_DETACHED_SECONDS_MAX: Final = 300

# A header of this size passes nginx as it is configured at first (large_client_header_buffers: 8k for a line).
TOKEN_BYTES_MAX: Final = 7 * KIB
TOKEN_SCOPES_MAX: Final = 32
TOKEN_SECONDS_MIN: Final = 60
TOKEN_SECONDS_MAX: Final = 3600
TOKEN_BACKDATED_SECONDS: Final = 5
TOKEN_CACHE_ENTRIES_MAX: Final = 8_192
TOKEN_FORM_BYTES_MAX: Final = 16 * KIB
KEY_SECONDS: Final = 30 * 24 * 3600
# Every process reads the folder of keys anew at least every KEY_LOOK_SECONDS, so all know a key before it signs.
KEY_LOOK_SECONDS: Final = 5
KEY_REST_SECONDS: Final = 30
REFRESH_TOKEN_SECONDS: Final = 180 * 24 * 3600
REFRESH_TOKENS_PER_ACCOUNT_MAX: Final = 100
AUDIT_QUEUED_MAX: Final = 10_000
AUDIT_BATCH_ROWS: Final = 200
AUDIT_GATHER_SECONDS: Final = 0.05
AUDIT_WINDOW_SECONDS: Final = 60
AUDIT_REPEATS_MAX: Final = 500
AUDIT_LOGIN_SECONDS: Final = 3600
AUDIT_LOGINS_REMEMBERED_MAX: Final = 10_000
AUDIT_POLL_SECONDS: Final = 0.25
AUDIT_HEARTBEAT_SECONDS: Final = 15
AUDIT_HEAD_ROWS: Final = 1_000
AUDIT_HEAD_SECONDS: Final = 60

# What is remembered of images that boards show, and how many tags of one image a board looks at for a stage.
FACTS_KEPT_MAX: Final = 4_096
BOARD_TAGS_LOOKED_AT: Final = 16
BOARD_NAMES_MAX: Final = 100
BOARD_WAITING_MAX: Final = 1_000
# What a cluster reports; `kubectl get pods -o json` has about 10 KiB for each pod.
RUNNING_BODY_BYTES_MAX: Final = 32 * MIB
RUNNING_ENTRIES_MAX: Final = 20_000
RUNNING_SHOWN_MAX: Final = 200
# Of two images that are compared. A large image has some 5,000 packages, and 1 KiB in SPDX for each.
SBOM_BYTES_MAX: Final = 32 * MIB
SBOM_PACKAGES_MAX: Final = 50_000
SBOMS_LOOKED_AT: Final = 20

# What is read to find a good signature on an image. cosign's own payloads have some 250 bytes.
SIGNATURE_PAYLOAD_BYTES_MAX: Final = 64 * KIB
SIGNATURE_BYTES_MAX: Final = 4 * KIB
SIGNATURES_PER_ENVELOPE_MAX: Final = 64
SIGNATURES_LOOKED_AT_MAX: Final = 1_000
BUNDLE_BYTES_MAX: Final = 1 * MIB
PUBLIC_KEYS_BYTES_MAX: Final = 64 * KIB
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192
# In base64 and with its envelope it has to fit into BLOB_INLINE_BYTES_MAX.
RECORD_PAYLOAD_BYTES_MAX: Final = 11 * KIB
