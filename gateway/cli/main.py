"""The command `passerelle`: every verb registered in one place, and imported when it is typed."""

from __future__ import annotations

try:
    from collections.abc import Iterator
    from contextlib import contextmanager
    from typing import Annotated, Any

    import typer

    from gateway.cli import old_spellings
    from gateway.cli.lazy import LazyGroup, Table
    from gateway.cli.output import GuardedGroup, example, manner
    from gateway.errors import UserError
except KeyboardInterrupt:
    # Imports take most of a short command's time, before there is a command that could end in order.
    raise SystemExit(130) from None

listed = Table()
EXERCISES = "gateway.exercises"  # of the distribution passerelle-exercises


@contextmanager
def exercises() -> Iterator[None]:
    """Say what to install where demonstration, drills, benches and evaluation are not installed beside the gateway."""
    try:
        yield
    except ModuleNotFoundError as absent:
        if not (absent.name or "").startswith(("gateway.exercises", "gateway.cli.exercises")):
            raise
        raise UserError(
            "this command is of the distribution passerelle-exercises, which is not installed: install the wheel"
            " passerelle_exercises that came with this release, pip install --no-index FILE.whl"
        ) from None


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


@listed(
    "init",
    "Make the home directory of a party: keys, certificates, public bundle, agreements, auditor's keys.",
)
def _init(app: typer.Typer) -> None:
    from gateway.cli.home import init

    app.command(
        epilog=example(
            "passerelle init can --party CAN --legal-name 'Immigration, Refugees and Citizenship Canada'",
            "passerelle init aus --party AUS --listen 0.0.0.0:7443 --host gateway.example.au",
        )
    )(init.init)


@listed("serve", "Answer partners until SIGTERM or Ctrl-C; calls under way are finished first.")
def _serve(app: typer.Typer) -> None:
    from gateway.cli.home import serve

    app.command(
        epilog=example(
            "passerelle serve can --passphrase-file can.pass",
            "passerelle serve can --maintenance   # for what has to be set right first",
        )
    )(serve.serve)


@listed(
    "check",
    "Print the effective settings, run the self-tests, and say what keeps the gateway from serving or soon will.",
)
def _check(app: typer.Typer) -> None:
    from gateway.cli.home import serve

    app.command(
        epilog=example(
            "passerelle check can",
            "passerelle check can --json",
            "passerelle check can --partner AUS",
        )
    )(serve.check)


@listed(
    "status",
    "Say whether the gateway serves, why not, since when, and what is due; it needs no passphrase.",
)
def _status(app: typer.Typer) -> None:
    from gateway.cli.home import status

    app.command(epilog=status.EPILOG)(status.status)


@listed(
    "query",
    "Ask a partner whether it knows a person; the answer is shown after signature, receipt and ledger hold.",
)
def _query(app: typer.Typer) -> None:
    from gateway.cli.partner import query

    app.command(
        epilog=example(
            "passerelle query aus --to CAN --agreement au@1 --purpose TRAVEL_ENTER_REMAIN"
            " --case C-17 --unit U-3 --official P-9 --finger 2=index.fmr"
        )
    )(query.query)


@listed("state", "Ask a partner what became of an earlier query, e.g. after a deadline passed.")
def _state(app: typer.Typer) -> None:
    from gateway.cli.partner import query

    app.command(epilog=example("passerelle state aus 20260301-0123456789abcdef0123 --to CAN"))(
        query.state
    )


@listed(
    "details",
    "Ask for fields of the person of a match; shown after signature, receipt and ledger hold.",
)
def _details(app: typer.Typer) -> None:
    from gateway.cli.partner import details

    app.command(
        epilog=example(
            "passerelle details aus 20260301-0123456789abcdef0123 --to CAN --field LAST_NAME --field PHOTOGRAPH"
            " --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-17 --unit U-3 --official P-9"
        )
    )(details.details)


@listed(
    "demo",
    "Show the main job on this machine: two parties, real TLS, real searches, refusals, a verified ledger.",
    EXERCISES,
)
def _demo(app: typer.Typer) -> None:
    with exercises():
        from gateway.cli.exercises import demo

    app.command(epilog=example("passerelle demo", "passerelle demo --records prints/ --json"))(
        demo.demo
    )


@listed(
    "console",
    "Open pages for an auditor in the browser of this machine: search, timeline, exchange histories, proofs, the report.",
)
def _console(app: typer.Typer) -> None:
    from gateway.cli.audit import console

    app.command(epilog=console.EPILOG)(console.console)


@listed(
    "backup",
    "Write the gateway into one file that only the recovery key opens; it may serve meanwhile.",
)
def _backup(app: typer.Typer) -> None:
    from gateway.cli.home import backup

    backup.add_backup(app)


@listed(
    "restore",
    "Bring a gateway back from its backup into a new home directory; it says so in its ledger before anything else.",
)
def _restore(app: typer.Typer) -> None:
    from gateway.cli.home import backup

    app.command(epilog=backup.RESTORE)(backup.restore)


@listed("party", "Exchange public bundles with partners.")
def _party(app: typer.Typer) -> None:
    from gateway.cli.home import party, party_show

    party.app.command(epilog=party_show.EPILOG)(party_show.show)
    app.add_typer(party.app, name="party")


@listed("directory", "See how our directory stands, and have its root key holders sign.")
def _directory(app: typer.Typer) -> None:
    from gateway.cli.admin import directory

    app.add_typer(directory.app, name="directory")


@listed("gallery", "Enrol people and count them.")
def _gallery(app: typer.Typer) -> None:
    from gateway.cli.subjects import gallery

    app.add_typer(gallery.app, name="gallery")


@listed("registry", "Keep the records of people: status, data, photograph.")
def _registry(app: typer.Typer) -> None:
    from gateway.cli.subjects import registry

    app.add_typer(registry.app, name="registry")


@listed("agreements", "See what was agreed, check a file, sign it for our gateway.")
def _agreements(app: typer.Typer) -> None:
    from gateway.cli.admin import agreements

    app.add_typer(agreements.app, name="agreements")


@listed("corrections", "Correct what was disclosed, and answer for what was disclosed to us.")
def _corrections(app: typer.Typer) -> None:
    from gateway.cli.casework import corrections

    app.add_typer(corrections.app, name="corrections")


@listed("outbound", "Ask partners, see what they answered, and record what was used.")
def _outbound(app: typer.Typer) -> None:
    from gateway.cli.casework import outbound_queries

    app.add_typer(outbound_queries.app, name="outbound")


@listed("keys", "See how our keys stand, and rotate them.")
def _keys(app: typer.Typer) -> None:
    from gateway.cli.keys import compromised, custody, lifecycle  # noqa: F401 - each adds its commands

    app.add_typer(lifecycle.app, name="keys")


@listed("staff", "See who may act for us, grant a person access, revoke it.")
def _staff(app: typer.Typer) -> None:
    from gateway.cli.admin import staff

    app.add_typer(staff.app, name="staff")


@listed("proposals", "See what waits for a second person; approve it, reject it.")
def _proposals(app: typer.Typer) -> None:
    from gateway.cli.admin import proposals

    app.add_typer(proposals.app, name="proposals")


@listed("review", "See what waits for an examiner, look at it, and decide.")
def _review(app: typer.Typer) -> None:
    from gateway.cli.casework import review

    app.add_typer(review.app, name="review")


@listed("audit", "Ask the ledger what was done, and why.")
def _audit(app: typer.Typer) -> None:
    from gateway.cli.audit import (
        conduct,
        console,
        explain,
        people,
        period_questions,
        replay,
        report,
    )

    explain.app.command(epilog=console.VIEWS)(console.views)
    explain.app.command(epilog=replay.EPILOG)(replay.replay)
    explain.app.command(epilog=report.EPILOG)(report.report)
    period_questions.install(explain.app)
    people.install(explain.app)
    conduct.install(explain.app)
    app.add_typer(explain.app, name="audit")


@listed("ledger", "Check the ledger.")
def _ledger(app: typer.Typer) -> None:
    from gateway.cli.ledger import entries, reconcile, verify

    entries.install(verify.app)
    verify.app.command(epilog=reconcile.EPILOG)(reconcile.reconcile)
    app.add_typer(verify.app, name="ledger")


@listed("witness", "Watch a ledger as an independent witness.")
def _witness(app: typer.Typer) -> None:
    from gateway.cli.ledger import witness

    app.add_typer(witness.app, name="witness")


@listed("retention", "See what is kept, erase what is due, hold what must not go.")
def _retention(app: typer.Typer) -> None:
    from gateway.cli.subjects import retention

    app.add_typer(retention.app, name="retention")


@listed("decisions", "Refuse a partner all or part of what we hold of a person.")
def _decisions(app: typer.Typer) -> None:
    from gateway.cli.casework import decisions

    app.add_typer(decisions.app, name="decisions")


@listed("bench", "Measure it on this machine.", EXERCISES)
def _bench(app: typer.Typer) -> None:
    with exercises():
        from gateway.cli.exercises import bench, bench_alike, demo

    demo.bench.command(
        epilog=example(
            "passerelle bench finger",
            "passerelle bench finger --gallery 100000 --probes 64 --threads 4 --json",
        )
    )(bench.finger)
    demo.bench.command(
        epilog=example(
            "passerelle bench year invented",
            "passerelle bench year invented --entries 1000000 --json",
        )
    )(bench.year)
    demo.bench.command(
        epilog=example("passerelle bench alike", "passerelle bench alike --queries 10000 --json")
    )(bench_alike.alike)
    app.add_typer(demo.bench, name="bench")


@listed(
    "drill",
    "Rehearse, on a scratch gateway made for it, what one hopes never to do for the first time.",
    EXERCISES,
)
def _drill(app: typer.Typer) -> None:
    with exercises():
        from gateway.cli.exercises import drill

    app.add_typer(drill.app, name="drill")


@listed("eval", "Measure the matcher on your records.", EXERCISES)
def _eval(app: typer.Typer) -> None:
    with exercises():
        from gateway.cli.exercises import evaluation

    app.add_typer(evaluation.app, name="eval")


@listed(
    "recovery", "The key that opens backups: make it, keep it elsewhere, have two operators set it."
)
def _recovery(app: typer.Typer) -> None:
    from gateway.cli.home import backup

    app.add_typer(backup.app, name="recovery")
