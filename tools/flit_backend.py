"""The build backend: flit_core from the current environment, so that a reinstall needs no network.

pip builds in an environment of its own and would download flit_core each time. If flit_core is not installed, the hooks
request it, and pip installs it for the build only.
"""

import importlib.util
import sys
import sysconfig

sys.path.append(sysconfig.get_path("purelib"))


def get_requires_for_build_wheel(config_settings=None):
    return [] if importlib.util.find_spec("flit_core") else ["flit_core>=3.12,<4"]


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    from flit_core import buildapi

    return buildapi.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    from flit_core import buildapi

    return buildapi.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    from flit_core import buildapi

    return buildapi.build_sdist(sdist_directory, config_settings)
