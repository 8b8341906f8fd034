"""Checks that the AWS CLI has the commands and options that documents name.

usage: commands.py DOCUMENT...

The shell reads each piece of code that has a command. It finds no program there, but an
"aws" that writes down how it is called. In a block, what a command requires must be given.
"""

import re
import shutil
import subprocess
import sys
import tempfile

import botocore.session
from botocore import xform_name

AWS = "aws() { printf '%s\\037' \"$@\" >&9; printf '\\036' >&9; echo said; }; command_not_found_handle() { :; }\n"
FUNCTIONS = "\nfor f in $(compgen -A function); do case $f in aws|command_*) ;; *) $f said;; esac; done"
GLOBAL = {"cli-input-json", "max-items", "no-paginate", "output", "profile", "query", "region"}
CODE = re.compile(r"^ *```\w*\n(?P<block>.*?)^ *```|`(?P<inline>[^`]+)`", re.S | re.M)
SESSION = botocore.session.get_session()


def calls(code):
    """Returns the arguments of each call of aws, those in functions included."""
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryFile() as told:
        script = f"exec 9>&{told.fileno()}\n{AWS}{code}{FUNCTIONS}"
        subprocess.run([shutil.which("bash"), "-c", script], cwd=empty, env={"PATH": empty}, pass_fds=[told.fileno()],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        told.seek(0)
        return [call.split("\037")[:-1] for call in told.read().decode().split("\036")[:-1]]


def fault(complete, service, command="", *arguments):
    """Says what is wrong with a call, or nothing."""
    if service not in SESSION.get_available_services():
        return "there is no such service"
    model = SESSION.get_service_model(service)
    names = {xform_name(o, "-"): o for o in model.operation_names}
    if command == "wait":
        waiters = SESSION.get_waiter_model(service)
        names = {xform_name(w, "-"): waiters.get_waiter(w).operation for w in waiters.waiter_names}
        command, *arguments = arguments
    if command not in names:
        return "there is no such command"
    shape = model.operation_model(names[command]).input_shape
    options = {xform_name(name, "-"): name for name in shape.members}
    options |= {f"no-{o}": name for o, name in options.items() if shape.members[name].type_name == "boolean"}
    given = {a.removeprefix("--").split("=")[0] for a in arguments if a.startswith("--")}
    missing = set(shape.required_members) - {options.get(o) for o in given} if complete else set()
    return ", ".join([f"there is no --{o}" for o in sorted(given - options.keys() - GLOBAL)] + [f"{m} is missing" for m in sorted(missing)])


bad = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as document:
        for code in CODE.finditer(document.read()):
            text = code["block"] or " ".join(code["inline"].split())
            if re.search(r"\baws [a-z]", text):
                faults = [(call, fault(bool(code["block"]), *call)) for call in calls(text)] or [([text.partition("aws ")[2]], "the shell finds no command in it")]
                bad += [f"{path}: aws {' '.join(call)}: {wrong}" for call, wrong in faults if wrong]
sys.exit("\n".join(bad) or 0)
