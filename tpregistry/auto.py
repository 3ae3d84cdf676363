"""``import tpregistry.auto`` patches every host, with TP_BACKEND=auto unless the variable says otherwise."""

from tpregistry.api import patch

patch()
