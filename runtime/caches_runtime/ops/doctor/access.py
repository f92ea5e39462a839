"""Who may read and write: passwords, TLS, networks."""

from collections.abc import Iterator

from caches_runtime.ops.doctor import objects
from caches_runtime.ops.doctor.facts import Facts, known
from caches_runtime.ops.doctor.findings import Finding, Severity

# The alert CacheCertificateExpiring comes at as many days.
CERTIFICATE_DAYS = 21
CERTIFICATE_DAYS_LEAST = 3


def speaks_tls(facts: Facts) -> bool:
    """For checks of TLS."""
    return facts.cache.tls


def auth(facts: Facts) -> Iterator[Finding]:
    """Nobody is served without a password."""
    open_to_all = [server.name for server in known(facts.servers) if server.serves_strangers]
    if open_to_all:
        remedy = "auth: password; behind a proxy, which can't have one, a NetworkPolicy"
        if facts.cache.speaks_redis:
            remedy = "components always set one: undo what was done by hand, restart the pods"
        found = f"served without a password: {', '.join(open_to_all)}"
        yield Finding(Severity.CRITICAL, found, "every server refuses who has no password", remedy)


def tls(facts: Facts) -> Iterator[Finding]:
    """Connections are encrypted."""
    if not facts.cache.tls:
        yield Finding(
            Severity.WARNING, "passwords and data cross the network in plain text", "TLS", "tls_generated: true, or tls_secret_name"
        )


def plaintext(facts: Facts) -> Iterator[Finding]:
    """A server that speaks TLS speaks nothing else."""
    if answering := [server.name for server in known(facts.servers) if server.answers_plaintext]:
        found = f"answered without TLS: {', '.join(answering)}"
        remedy = "components close the other port: undo what was done by hand, restart the pods"
        yield Finding(Severity.CRITICAL, found, "who does not speak TLS is not answered", remedy)


def certificate(facts: Facts) -> Iterator[Finding]:
    """Certificates are accepted, and will be for a while."""
    shown = [(server.name, server.certificate) for server in known(facts.servers) if server.certificate]
    if refused := [f"{name} ({each.problem})" for name, each in shown if each.problem]:
        remedy = "renew the Secret of tls_secret_name; with tls_generated run `pulumi up`"
        yield Finding(Severity.CRITICAL, f"not accepted: {', '.join(refused)}", "the connection's authority vouches for it", remedy)
    lasting = [(each.days, name) for name, each in shown if not each.problem]
    if lasting and min(lasting)[0] < CERTIFICATE_DAYS:
        days, name = min(lasting)
        severity = Severity.CRITICAL if days < CERTIFICATE_DAYS_LEAST else Severity.WARNING
        remedy = "renew the Secret of tls_secret_name: servers take it without a restart"
        yield Finding(severity, f"{name}: valid for {days:.0f} days", f"at least {CERTIFICATE_DAYS} days", remedy)


def network_policy(facts: Facts) -> Iterator[Finding]:
    """Not every pod of the cluster reaches the servers."""
    guards = [each["spec"] for each in known(facts.policies) if "Ingress" in each["spec"].get("policyTypes", ["Ingress"])]
    open_to_all = [
        objects.name(pod) for pod in known(facts.pods) if not any(objects.selects(each.get("podSelector") or {}, pod) for each in guards)
    ]
    if open_to_all:
        found = f"any pod of the cluster reaches {', '.join(open_to_all)}"
        yield Finding(Severity.INFO, found, "a NetworkPolicy selects each", "no component makes one: apply that of the guide")
