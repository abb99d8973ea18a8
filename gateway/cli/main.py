"""The command `passerelle`: every verb named in one place with the modules that have it, which are imported when it is typed."""

from __future__ import annotations

try:
    from typing import Annotated, Any

    import typer

    from gateway.cli import old_spellings
    from gateway.cli.lazy import LazyGroup, Part, Table
    from gateway.cli.output import GuardedGroup, example, manner
except KeyboardInterrupt:
    # Imports take most of a short command's time, before there is a command that could end in order.
    raise SystemExit(130) from None

listed = Table()
EXERCISES = Part(
    ("gateway.exercises", "gateway.cli.exercises"),
    "this command is of the distribution passerelle-exercises, which is not installed: install the wheel"
    " passerelle_exercises that came with this release, pip install --no-index FILE.whl",
)


class Root(LazyGroup, GuardedGroup):
    """All commands."""

    table = listed

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's own types
        """Find a command by its old name too."""
        return super().resolve_command(
            ctx, old_spellings.renamed(args, quiet=ctx.resilient_parsing)
        )


app = typer.Typer(
    cls=Root,
    name="passerelle",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "passerelle init can --party CAN",
        "passerelle party export can -o CAN.json",
        "passerelle serve can",
    ),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"passerelle {version('passerelle')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a fault of ours.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Exchange biometric queries with partners: sealed, lawful, hit or no hit, with a receipt."""
    del version
    manner(context).debug = debug


listed.add(
    "init",
    "Make the home directory of a party: keys, certificates, public bundle, agreements, auditor's keys.",
    "home.init",
)
listed.add(
    "serve",
    "Answer partners until SIGTERM or Ctrl-C; calls under way are finished first.",
    "home.serve",
)
listed.add(
    "check",
    "Print the effective settings, run the self-tests, and say what keeps the gateway from serving or soon will.",
    "home.serve",
)
listed.add(
    "status",
    "Say whether the gateway serves, why not, since when, and what is due; it needs no passphrase.",
    "home.status",
)
listed.add(
    "query",
    "Ask a partner whether it knows a person; the answer is shown after signature, receipt and ledger hold.",
    "partner.query",
)
listed.add(
    "state",
    "Ask a partner what became of an earlier query, e.g. after a deadline passed.",
    "partner.query",
)
listed.add(
    "details",
    "Ask for fields of the person of a match; shown after signature, receipt and ledger hold.",
    "partner.details",
)
listed.add(
    "demo",
    "Show the main job on this machine: two parties, real TLS, real searches, refusals, a verified ledger.",
    "exercises.demo",
    part=EXERCISES,
)
listed.add(
    "console",
    "Open pages for an auditor in the browser of this machine: search, timeline, exchange histories, proofs, the report.",
    "audit.console",
)
listed.add(
    "backup",
    "Write the gateway into one file that only the recovery key opens; it may serve meanwhile.",
    "home.backup",
)
listed.add(
    "restore",
    "Bring a gateway back from its backup into a new home directory; it says so in its ledger before anything else.",
    "home.backup",
)
listed.add("party", "Exchange public bundles with partners.", "home.party", "home.party_show")
listed.add(
    "directory",
    "See how our directory stands, and have its root key holders sign.",
    "admin.directory",
)
listed.add("gallery", "Enrol people and count them.", "subjects.gallery")
listed.add(
    "samples",
    "See what a file of samples holds, and take text about a person out of it.",
    "subjects.samples",
)
listed.add("registry", "Keep the records of people: status, data, photograph.", "subjects.registry")
listed.add(
    "agreements", "See what was agreed, check a file, sign it for our gateway.", "admin.agreements"
)
listed.add(
    "calibrations",
    "See what scores of faces and irises are worth here, check a file, have it adopted by two.",
    "admin.calibrations",
)
listed.add(
    "corrections",
    "Correct what was disclosed, and answer for what was disclosed to us.",
    "casework.corrections",
)
listed.add(
    "outbound",
    "Ask partners, see what they answered, and record what was used.",
    "casework.outbound_queries",
)
listed.add(
    "keys",
    "See how our keys stand, and rotate them.",
    *("keys.lifecycle", "keys.compromised", "keys.custody"),
)
listed.add("staff", "See who may act for us, grant a person access, revoke it.", "admin.staff")
listed.add(
    "proposals", "See what waits for a second person; approve it, reject it.", "admin.proposals"
)
listed.add("review", "See what waits for an examiner, look at it, and decide.", "casework.review")
listed.add(
    "audit",
    "Ask the ledger what was done, and why.",
    *("audit.explain", "audit.console:audit_app", "audit.replay", "audit.report"),
    *("audit.period_questions", "audit.people", "audit.conduct"),
)
listed.add("ledger", "Check the ledger.", "ledger.verify", "ledger.entries", "ledger.reconcile")
listed.add("witness", "Watch a ledger as an independent witness.", "ledger.witness")
listed.add(
    "retention",
    "See what is kept, erase what is due, hold what must not go.",
    "subjects.retention",
)
listed.add(
    "decisions", "Refuse a partner all or part of what we hold of a person.", "casework.decisions"
)
listed.add(
    "bench",
    "Measure it on this machine.",
    *(
        "exercises.bench_exchange",
        "exercises.bench",
        "exercises.bench_population",
        "exercises.bench_records",
        "exercises.bench_alike",
    ),
    part=EXERCISES,
)
listed.add(
    "drill",
    "Rehearse, on a scratch gateway made for it, what one hopes never to do for the first time.",
    *("exercises.drill", "exercises.drill_storage"),
    part=EXERCISES,
)
listed.add("eval", "Measure the matcher on your records.", "exercises.evaluation", part=EXERCISES)
listed.add(
    "recovery",
    "The key that opens backups: make it, keep it elsewhere, have two operators set it.",
    "home.backup:recovery_app",
)
