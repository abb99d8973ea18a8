"""The command `passerelle`: every verb registered in one place, each room imported when its verb runs."""

from __future__ import annotations

try:
    from importlib.metadata import version as version_of
    from typing import Annotated

    import typer

    from gateway.cli import (
        agreements,
        alike,
        ask,
        asking,
        auditing,
        backing,
        benching,
        conduct,
        corrections,
        decisions,
        detailing,
        directory,
        drills,
        entries,
        entry,
        evaluating,
        founding,
        gallery,
        inquiries,
        keys,
        kit,
        ledger,
        parties,
        proposals,
        reconciling,
        registry,
        replaying,
        reporting,
        retention,
        review,
        rewrapping,
        scrutiny,
        service,
        staff,
        status,
        viewing,
        witness,
        worst,
    )
    from gateway.cli.console import Guarded, example, manner
except KeyboardInterrupt:
    # Most of the first second is spent on imports, before there is a command that could end in order.
    raise SystemExit(130) from None

app = typer.Typer(
    cls=Guarded,
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
        typer.echo(f"passerelle {version_of('passerelle')}")
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


app.command(
    epilog=example(
        "passerelle init can --party CAN --legal-name 'Immigration, Refugees and Citizenship Canada'",
        "passerelle init aus --party AUS --listen 0.0.0.0:7443 --host gateway.example.au",
    )
)(founding.init)
app.command(epilog=example("passerelle serve can --passphrase-file can.pass"))(service.serve)
app.command(
    epilog=example(
        "passerelle check can", "passerelle check can --json", "passerelle check can --partner AUS"
    )
)(service.check)
app.command(epilog=status.EPILOG)(status.status)
app.command(
    epilog=example(
        "passerelle query aus --to CAN --agreement au@1 --purpose TRAVEL_ENTER_REMAIN"
        " --case C-17 --unit U-3 --person P-9 --finger 2=index.fmr"
    )
)(asking.query)
app.command(epilog=example("passerelle state aus 20260301-0123456789abcdef0123 --to CAN"))(
    asking.state
)
app.command(
    epilog=example(
        "passerelle details aus 20260301-0123456789abcdef0123 --to CAN --field LAST_NAME --field PHOTOGRAPH"
        " --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-17 --unit U-3 --person P-9"
    )
)(detailing.details)
app.command(epilog=example("passerelle demo", "passerelle demo --records prints/ --json"))(kit.demo)
parties.app.command(epilog=entry.EPILOG)(entry.show)
app.add_typer(parties.app, name="party")
app.add_typer(directory.app, name="directory")
app.add_typer(gallery.app, name="gallery")
app.add_typer(registry.app, name="registry")
app.add_typer(agreements.app, name="agreements")
app.add_typer(corrections.app, name="corrections")
app.command(
    epilog=example(
        "passerelle ask can --to AUS --agreement au@1 --purpose VISA_PERMIT_BENEFIT --case C-17 --unit U-3"
        " --status FOREIGN_NATIONAL --nationality SYR --finger 2=index.fmr",
        "passerelle ask can --to AUS --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-18 --unit U-3"
        " --status CLAIMANT --nationality IRN --alleged-persecution AUS --finger 2=index.fmr   # blocked",
    )
)(ask.ask)
app.add_typer(ask.app, name="asked")
app.command(epilog=example("passerelle use can 20260301-0123456789abcdef0123 --in R-17"))(ask.use)
app.add_typer(keys.app, name="keys")
app.add_typer(staff.app, name="staff")
app.add_typer(proposals.app, name="proposals")
app.add_typer(review.app, name="review")
app.add_typer(auditing.app, name="audit")
app.add_typer(ledger.app, name="ledger")
app.command(epilog=viewing.EPILOG)(viewing.console)
auditing.app.command(epilog=viewing.VIEWS)(viewing.views)
app.add_typer(witness.app, name="witness")
app.add_typer(retention.app, name="retention")
app.add_typer(decisions.app, name="decisions")
app.add_typer(kit.bench, name="bench")
app.add_typer(drills.app, name="drill")
app.add_typer(evaluating.app, name="eval")
kit.bench.command(
    epilog=example(
        "passerelle bench finger",
        "passerelle bench finger --gallery 100000 --probes 64 --threads 4 --json",
    )
)(benching.finger)
kit.bench.command(
    epilog=example(
        "passerelle bench year invented", "passerelle bench year invented --entries 1000000 --json"
    )
)(benching.year)
kit.bench.command(
    epilog=example("passerelle bench alike", "passerelle bench alike --queries 10000 --json")
)(alike.alike)
auditing.app.command(epilog=replaying.EPILOG)(replaying.replay)
auditing.app.command(epilog=reporting.EPILOG)(reporting.report)
inquiries.install(auditing.app)
scrutiny.install(auditing.app)
conduct.install(auditing.app)
entries.install(ledger.app)
ledger.app.command(epilog=reconciling.EPILOG)(reconciling.reconcile)
keys.app.command(epilog=worst.EPILOG)(worst.compromised)
keys.app.command(epilog=worst.AFFECTED)(worst.affected)
keys.app.command(epilog=worst.BELIEVED)(worst.believe)
rewrapping.register(keys.app)
app.command(epilog=backing.BACKUP)(backing.backup)
app.command(epilog=backing.RESTORE)(backing.restore)
app.add_typer(backing.app, name="recovery")
