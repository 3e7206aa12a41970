"""All lines of the checklist, in the order of docs/operations.md (a test keeps the two equal)."""

from smoke import check_answers, check_door, check_emr, check_glue, check_storage
from smoke.checks import Check

CHECKS: tuple[Check, ...] = (
    check_storage.stacks,
    check_storage.change_sets,
    check_glue.glue_jobs,
    check_glue.glue_runs,
    check_glue.glue_releases,
    check_glue.glue_fixed,
    check_glue.glue_no_total,
    check_door.ask,
    check_door.ask_shape,
    check_glue.glue_logs,
    check_glue.glue_log_keys,
    check_glue.glue_metrics,
    check_emr.emr_cluster,
    check_emr.emr_encryption,
    check_emr.emr_session,
    check_emr.emr_groups,
    check_emr.emr_steps,
    check_emr.emr_releases,
    check_emr.emr_endpoints,
    check_emr.emr_ends,
    check_emr.emr_logs,
    check_answers.charged,
    check_answers.warehouse,
    check_storage.releases_once,
    check_storage.releases_kept,
    check_storage.bucket_settings,
    check_storage.ledger_settings,
    check_answers.isolated,
    check_storage.alarm,
    check_storage.removed,
    check_storage.data_destroyed,
)
