"""The build backend: flit_core, taken from the environment where it is installed, so that reinstalling needs no
network.

pip builds in an environment of its own and would download flit_core anew each time. Where it is nowhere to be found,
the hooks ask for it; pip then installs it, for the build only, and imports this module again.
"""

import sys
import sysconfig

sys.path.append(sysconfig.get_path("purelib"))

try:
    from flit_core.buildapi import *  # noqa: F403
except ModuleNotFoundError:

    def get_requires_for_build_wheel(config_settings=None):
        return ["flit_core>=3.9,<4"]

    get_requires_for_build_editable = get_requires_for_build_wheel
    get_requires_for_build_sdist = get_requires_for_build_wheel
