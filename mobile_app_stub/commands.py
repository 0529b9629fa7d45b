"""`lesionlite embed` and `serve`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from lesionlite.command import Json, Outcome
from lesionlite.console import say
from lesionlite.settings import refuse_settings, refuse_types


@dataclass(frozen=True)
class Embed:
    """Make a phone app that holds artifacts, their contract and their golden vectors.

    The app tests itself with the golden vectors when it first starts.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote."""
    app: str
    """Which app: web (an installable page), android (Kotlin), ios (Swift)."""
    out: Path
    """Folder of the app; it must not exist yet."""
    precision: str | None = None
    """Precision to embed; by default the first in the app's list that passed the benchmark."""
    id: str = ""
    """What tells the app from all others on a phone and in a store, such as org.clinic.skin;
    android and ios need one."""
    name: str = ""
    """Name below the app's icon."""
    team: str = ""
    """For ios: the 10 letters and digits of your Apple developer team; Xcode asks for them, too."""
    model_only: bool = False
    """Replace the model in an existing app, and leave all other files as you edited them."""
    json: Json = False

    def run(self) -> Outcome:
        """Fill the template, and print the next step."""
        from lesionlite.mobile_app_stub.apps import APPS
        from lesionlite.mobile_app_stub.embed import embed
        from lesionlite.mobile_app_stub.identity import Identity

        identity = Identity(self.id, self.name, self.team)
        made = embed(self.artifacts, self.app, self.out, self.precision, self.model_only, identity)
        for row in made.artifacts:
            say(f"{row.artifact}  {row.size_bytes / 1e6:.1f} MB")
        for remark in made.remarks:
            say(remark)
        say(f"app: {self.out}")
        say(f"next: {APPS[self.app].next.format(out=self.out)}")
        document = {
            "out": str(self.out),
            "artifacts": [row.artifact for row in made.artifacts],
            "remarks": list(made.remarks),
        }
        return document, 0


@dataclass(frozen=True)
class Serve:
    """Build the web app that `lesionlite embed --app web` made, and serve it on this machine.

    With --lan, other machines of the network reach it, too.
    """

    app: Positional[Path]
    """Folder of the app."""
    port: int = 8000
    """Port on http://localhost; 0 takes a free one."""
    lan: bool = False
    """Serve by https to all machines of this network, to try the app on a phone."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)
        refuse_settings(self, [("port", 0 <= self.port <= 65535, "from 0 to 65535")])

    def run(self) -> Outcome:
        """Build, and serve until Ctrl-C."""
        from lesionlite.mobile_app_stub.lan import certificate, lan_names
        from lesionlite.mobile_app_stub.serve import SITE, address_of, build_site, open_server

        shown = certificate(lan_names()) if self.lan else None
        build_site(self.app)
        with open_server(self.app, self.port, shown) as server:
            address = address_of(server)
            say(f"page: {self.app / SITE}, for any static web server with https")
            if shown:
                say(f"SHA-256 of the certificate: {shown.fingerprint}")
                say(
                    "A phone warns that nobody vouches for this certificate. Compare the SHA-256 "
                    "that it shows, then continue. Offline use needs a certificate that it trusts."
                )
            say(f"next: open {address} (Ctrl-C ends it)")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                say("stopped")
        return {"app": str(self.app), "site": str(self.app / SITE), "address": address}, 0
