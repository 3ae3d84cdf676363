"""What NequIP loads when it is imported: so TP_BACKEND takes effect also where the start-up file of the wheel is not run."""

import os

if os.environ.get("TP_BACKEND", "off") not in ("", "off"):
    from tpregistry.bootstrap import install

    install()
