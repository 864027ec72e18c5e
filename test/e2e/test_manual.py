#!/usr/bin/env python3
"""Manuals and completions as make install leaves them: complete, and what the programs print."""
import os
import re
import shutil
import subprocess
import tempfile

from net import BUILD, DSMR, DSMRD, check, main, run

CLI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/cli.md")
PROGRAMS = (("dsmr", DSMR), ("dsmrd", DSMRD))
PLACES = {("--man",): "share/man/man1/%s.1",
          ("completion", "bash"): "share/bash-completion/completions/%s",
          ("completion", "zsh"): "share/zsh/site-functions/_%s",
          ("completion", "fish"): "share/fish/vendor_completions.d/%s.fish"}


def said(*command):
    code, out, err = run(*command)
    check(code == 0 and err == "", "%s: %d %s" % (command[1:], code, err))
    return out


def verbs_of(program):
    return re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?) {2,}", said(program, "--help"))


def options_of(program, verb):
    return re.findall(r"(?m)^  (--[a-z0-9-]+)", said(program, *verb.split(), "--help"))


def installed():
    """Every file lies where man and the shells look, and is what the program prints."""
    prefix = tempfile.mkdtemp(prefix="dsmr-e2e-")
    try:
        said("cmake", "--install", BUILD, "--prefix", prefix, "--component", "programs")
        for name, program in PROGRAMS:
            check(os.access(os.path.join(prefix, "bin", name), os.X_OK), name + " is not installed")
            for words, place in PLACES.items():
                with open(os.path.join(prefix, place % name)) as file:
                    check(file.read() == said(program, *words), place % name + " is another text")
    finally:
        shutil.rmtree(prefix)


def exit_codes(row, text):
    return {int(code): meaning for code, meaning in re.findall(row, text)}


def manuals():
    """groff has nothing to say, and no verb, option, exit code or file is missing."""
    for name, program in PROGRAMS:
        done = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=2000n"],
                              input=said(program, "--man"), capture_output=True, text=True)
        check(done.returncode == 0 and done.stderr == "", "groff: " + done.stderr)
        page = done.stdout
        for verb in verbs_of(program):
            heading = re.search(r"(?m)^   %s( .*)?$" % verb, page)
            check(heading, "%s %s is not in the manual" % (name, verb))
            # Its own options stand below it, the common ones in a section of their own.
            section = re.split(r"(?m)^ {0,3}\S", page[heading.end():])[0]
            common = page[page.index("COMMON OPTIONS"):]
            for option in options_of(program, verb):
                check(re.search(r"(?m)^ +%s\b" % option, section + common),
                      "%s %s %s is not in the manual" % (name, verb, option))
        for code in (0, 1, 3, 4, 64, 65, 69, 70, 74, 78):
            check(re.search(r"(?m)^ +%d  +\w" % code, page[page.index("EXIT STATUS"):]), "exit %d" % code)
        for word in ("ENVIRONMENT", "DSMR_*", "FILES", "SEE ALSO"):
            check(word in page, "%s is not in the manual of %s" % (word, name))
        check(exit_codes(r"(?m)^ +(\d+)  +(\w.*)\.$", page[page.index("EXIT STATUS"):]) ==
              exit_codes(r"(?m)^\| (\d+) \| (.*) \|$", open(CLI).read()), "exit codes of docs/cli.md")
    check("config/config.yaml" in said(DSMRD, "--man"), "files")
    check("bash|zsh|fish" in said(DSMR, "--man"), "completion")


def completed(program, name, *words):
    """What bash offers for the last of these words."""
    script = said(program, "completion", "bash") + (
        "COMP_WORDS=(%s); COMP_CWORD=%d; _%s; printf '%%s\\n' \"${COMPREPLY[@]}\"" %
        (" ".join("'%s'" % word for word in (name,) + words), len(words), name))
    return said("bash", "-c", script).split()


def bash():
    for name, program in PROGRAMS:
        script = said(program, "completion", "bash")
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        check(done.returncode == 0 and done.stderr == "", "bash -n: " + done.stderr)
        first = completed(program, name, "")
        for verb in verbs_of(program):
            check(verb.split()[0] in first, "%s is not offered" % verb)
            offered = completed(program, name, *verb.split(), "--")
            check(sorted(offered) == sorted(set(options_of(program, verb))),
                  "%s: %s" % (verb, offered))
    check(completed(DSMR, "dsmr", "stat") == ["status"], "stat")
    check(completed(DSMR, "dsmr", "keys", "") == ["new", "list", "import", "export"], "keys")
    check(completed(DSMR, "dsmr", "send", "--mode", "c") == ["certified"], "--mode")
    check(completed(DSMR, "dsmr", "completion", "") == ["bash", "zsh", "fish"], "completion")
    check(completed(DSMRD, "dsmrd", "config", "") == ["check"], "config")
    check("/etc/passwd" in completed(DSMR, "dsmr", "keys", "import", "me", "/etc/pass"), "files")
    check("/etc/passwd" in completed(DSMR, "dsmr", "send", "--keys", "/etc/pass"), "files")


def other_shells():
    for shell, words in (("zsh", ["-n"]), ("fish", ["--no-execute"])):
        if shutil.which(shell) is None:
            print("skipped: there is no " + shell)
            continue
        for _, program in PROGRAMS:
            with tempfile.NamedTemporaryFile("w", suffix="." + shell) as file:
                file.write(said(program, "completion", shell))
                file.flush()
                said(shell, *words, file.name)


if __name__ == "__main__":
    main(installed, manuals, bash, other_shells)
