"""What an operator can mend, in a sentence."""

from __future__ import annotations


def explained(problem: Exception) -> str | None:
    """What to tell an operator, or None when it is a bug."""
    import psycopg
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(problem, ValidationError):
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}" for fault in problem.errors())
        return "; ".join(faults)
    if isinstance(problem, psycopg.OperationalError):
        return f"the database does not answer: {str(problem).strip()}"
    told = (
        *("PostgresUnavailable", "MigrationRefused", "Unsafe", "FileRefused", "KeyRefused", "VerifyRefused"),
        *("BacktestRefused", "CodesRefused", "PreviewRefused", "PrintingUnavailable"),
    )
    if isinstance(problem, OSError | SettingsError) or type(problem).__name__ in told:
        return str(problem)
    return None
