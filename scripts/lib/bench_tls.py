"""What an independent judge says of the gateway's TLS: sslyze, from outside, over a real connection."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
import json
from pathlib import Path
import sys
import tempfile
from typing import Any

# The packages of the integration that do not know Home Assistant run alone
sys.path.append(
    str(Path(__file__).resolve().parents[2] / "custom_components" / "magicpi_nvr")
)

from gateway import (
    SERVER_NAME,
    Authority,
    Gateway,
    GatewaySettings,
    ListenerLimits,
    Registry,
)

from benchmark import Forgetful, Owner, command_line, publish

SSLYZE = Path(__file__).resolve().parents[2] / ".venv-tls" / "bin" / "python"
TIMEOUT_S = 180
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
NEW = ("tls_1_2", "tls_1_3")
CHECKS = (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "certinfo", "reneg", "early_data",
    "elliptic_curves", "resum", "openssl_ccs", "heartbleed", "fallback", "robot", "ems", "compression",
)  # fmt: skip
# What makes a cipher weak, by the parts of its name
WEAK = (
    "_RC4_",
    "_DES_",
    "_3DES_",
    "_NULL_",
    "_EXPORT",
    "_MD5",
    "_CBC_",
    "_anon_",
    "_IDEA_",
)


@dataclass
class Findings:
    """What was found; `bad` is empty for a gateway that may stay as it is."""

    accepted: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)


async def scan(port: int) -> dict[str, Any]:
    """Return sslyze's report of a server of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        process = await asyncio.create_subprocess_exec(
            *(str(SSLYZE), "-m", "sslyze", "--mozilla_config", "disable"),
            *(f"--{name}" for name in CHECKS),
            *(f"--json_out={report}", f"--sni={SERVER_NAME}", "--slow_connection"),
            f"127.0.0.1:{port}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
        if not report.exists():
            raise RuntimeError(output.decode(errors="replace")[-2000:])
        found: dict[str, Any] = json.loads(report.read_text())
        return found


def judge(report: Mapping[str, Any]) -> Findings:
    """Read a report."""
    findings = Findings()
    (server,) = report["server_scan_results"]
    results = server["scan_result"] or {}

    def result(name: str) -> dict[str, Any]:
        answer = results.get(name) or {}
        if answer.get("status") != "COMPLETED":
            findings.bad.append(f"{name} was not checked: {answer.get('error_reason')}")
            return {}
        return dict(answer["result"])

    for version in (*OLD, *NEW):
        suites = [
            item["cipher_suite"]["name"]
            for item in result(f"{version}_cipher_suites").get(
                "accepted_cipher_suites", []
            )
        ]
        findings.accepted[version] = suites
        if version in OLD and suites:
            findings.bad.append(f"{version} is spoken")
        findings.bad += [
            f"{version}: {suite} is weak"
            for suite in suites
            if any(word in f"_{suite}_" for word in WEAK)
            or (version == "tls_1_2" and not suite.startswith("TLS_ECDHE_"))
        ]
    if not any(findings.accepted[version] for version in NEW):
        findings.bad.append("no TLS at all")
    for name, key, good in (
        ("heartbleed", "is_vulnerable_to_heartbleed", False),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
        ("robot", "robot_result", ("NOT_VULNERABLE_NO_ORACLE", "NOT_VULNERABLE_RSA_NOT_SUPPORTED")),
        ("tls_compression", "supports_compression", False),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
        ("session_renegotiation", "supports_secure_renegotiation", True),
        ("tls_1_3_early_data", "supports_early_data", False),
        ("tls_fallback_scsv", "supports_fallback_scsv", True),
        ("tls_extended_master_secret", "supports_ems_extension", True),
    ):  # fmt: skip
        if (answer := result(name).get(key)) is None:
            continue
        findings.facts[key] = str(answer)
        expected = good if isinstance(good, tuple) else (good,)
        if answer not in expected:
            findings.bad.append(f"{key}: {answer}")
    curves = result("elliptic_curves").get("supported_curves") or []
    findings.facts["curves"] = ", ".join(curve["name"] for curve in curves)
    resumption = result("session_resumption")
    if resumption:
        findings.facts["tickets"] = str(resumption.get("tls_ticket_resumption_result"))
    for deployment in result("certificate_info").get("certificate_deployments", []):
        leaf = deployment["received_certificate_chain"][0]
        key = leaf["public_key"]
        findings.facts["certificate"] = (
            f"{key['algorithm']} {key.get('ec_curve_name') or key.get('key_size')}, "
            f"{leaf['signature_hash_algorithm']['name']}, "
            f"{leaf['not_valid_before'][:10]} to {leaf['not_valid_after'][:10]}"
        )
        if leaf["signature_hash_algorithm"]["name"] not in ("sha256", "sha384"):
            findings.bad.append("a weak signature")
    return findings


async def measure() -> Findings:
    """Scan a gateway that was started for it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = await asyncio.to_thread(
            Authority.load_or_create, Path(folder) / "tls"
        )
        registry = Registry(Forgetful())
        await registry.load()
        gateway = Gateway(
            authority=authority,
            registry=registry,
            delegate=Owner(),  # type: ignore[arg-type]
            settings=GatewaySettings(
                # A scanner opens hundreds of connections from one address
                host="127.0.0.1",
                port=0,
                limits=ListenerLimits(
                    unauthenticated=512, per_address=512, burst=10_000
                ),
            ),
            version="0",
        )
        await gateway.start()
        try:
            return judge(await scan(gateway.port))
        finally:
            await gateway.stop()


def main() -> int:
    """Print what is found."""
    parser = command_line("tls", __doc__)
    options = parser.parse_args()
    if not SSLYZE.exists():
        parser.error("needs `scripts/setup --environment tls`")
    findings = asyncio.run(measure())
    for version, suites in findings.accepted.items():
        print(f"{version:8} {', '.join(suites) or 'refused'}")
    for name, value in findings.facts.items():
        print(f"{name}: {value}")
    print("\n".join(f"BAD: {item}" for item in findings.bad) or "nothing bad found")
    publish(options, {"tls_findings": len(findings.bad), **vars(findings)})
    return int(bool(findings.bad))


if __name__ == "__main__":
    sys.exit(main())
