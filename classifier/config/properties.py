"""Properties of the client libraries: which are secret, and readable messages for the ones a library refuses.

Guarantee: a message contains names, limits and rules only. A library's own text may quote a value, and a value may be
a secret.
"""

import re
from collections.abc import Iterable, Mapping

SECRET_WORDS = ("password", "passphrase", "secret", "user.info", "token", ".key", "jaas", "pem", "oauthbearer.config")

# librdkafka accepts two names for these properties, and its messages use the first.
ALIASES = {
    "acks": "request.required.acks",
    "bootstrap.servers": "metadata.broker.list",
    "compression.codec": "compression.type",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "linger.ms": "queue.buffering.max.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.send.max.retries": "retries",
    "message.timeout.ms": "delivery.timeout.ms",
    "sasl.mechanisms": "sasl.mechanism",
}
ALIASES |= {second: first for first, second in ALIASES.items()}

# Defaults of properties that librdkafka's rules compare with others.
DEFAULTS = {
    "fetch.max.bytes": "52428800",
    "linger.ms": "5",
    "max.poll.interval.ms": "300000",
    "message.max.bytes": "1000000",
    "message.timeout.ms": "transaction.timeout.ms",
    "receive.message.max.bytes": "100000000",
    "reconnect.backoff.max.ms": "10000",
    "reconnect.backoff.ms": "100",
    "session.timeout.ms": "45000",
    "transaction.timeout.ms": "60000",
}

REMOVE = "remove the line"
AVRO = f"{REMOVE}, values are Avro in any case"
CREDENTIALS = "write sasl.username and sasl.password"
REGISTRY = "[schema_registry]"
# Properties of Java clients and their examples that have another name here, or none, and what to do.
JAVA = {
    "auto.register.schemas": REMOVE,
    "basic.auth.credentials.source": f"{REMOVE}, basic.auth.user.info in {REGISTRY} is enough",
    "buffer.memory": "write queue.buffering.max.kbytes, a thousandth of it",
    "default.api.timeout.ms": "write socket.timeout.ms",
    "exclude.internal.topics": REMOVE,
    "fetch.max.wait.ms": "write fetch.wait.max.ms",
    "interceptor.classes": REMOVE,
    "key.converter": AVRO,
    "key.deserializer": AVRO,
    "key.serializer": AVRO,
    "key.subject.name.strategy": REMOVE,
    "max.block.ms": REMOVE,
    "max.poll.records": f"{REMOVE}; --batch-size bounds a step",
    "max.request.size": "write message.max.bytes",
    "metric.reporters": REMOVE,
    "partitioner.class": "write partitioner",
    "partitioner.ignore.keys": REMOVE,
    "receive.buffer.bytes": "write socket.receive.buffer.bytes",
    "sasl.client.callback.handler.class": REMOVE,
    "sasl.jaas.config": CREDENTIALS,
    "sasl.login.callback.handler.class": "write sasl.oauthbearer.method = oidc",
    "schema.registry.basic.auth.credentials.source": f"{REMOVE}, basic.auth.user.info in {REGISTRY} is enough",
    "schema.registry.basic.auth.user.info": f"write basic.auth.user.info in {REGISTRY}",
    "schema.registry.ssl.keystore.location": f"write ssl.certificate.location and ssl.key.location in {REGISTRY}",
    "schema.registry.ssl.keystore.password": f"write ssl.key.password in {REGISTRY}",
    "schema.registry.ssl.truststore.location": f"write ssl.ca.location in {REGISTRY}, with a file in PEM",
    "schema.registry.ssl.truststore.password": f"{REMOVE}, ssl.ca.location in {REGISTRY} is in PEM and needs none",
    "schema.registry.url": f"write url in {REGISTRY}",
    "send.buffer.bytes": "write socket.send.buffer.bytes",
    "specific.avro.reader": REMOVE,
    "ssl.enabled.protocols": REMOVE,
    "ssl.keystore.certificate.chain": "write ssl.certificate.pem",
    "ssl.keystore.key": "write ssl.key.pem",
    "ssl.keystore.type": f"{REMOVE}; ssl.keystore.location is PKCS#12, for PEM there is ssl.certificate.location",
    "ssl.protocol": REMOVE,
    "ssl.truststore.certificates": "write ssl.ca.pem",
    "ssl.truststore.location": "write ssl.ca.location, with a file in PEM",
    "ssl.truststore.password": f"{REMOVE}, ssl.ca.location is in PEM and needs none",
    "ssl.truststore.type": f"{REMOVE}, ssl.ca.location is in PEM",
    "use.latest.version": REMOVE,
    "value.converter": AVRO,
    "value.deserializer": AVRO,
    "value.serializer": AVRO,
    "value.subject.name.strategy": REMOVE,
}
# Properties of the other section: the message says where they belong.
JAVA_IN_REGISTRY = {
    "bootstrap.servers": "write it in [consumer] and [producer]",
    "ssl.keystore.location": "write ssl.certificate.location and ssl.key.location, with files in PEM",
    "ssl.keystore.password": "write ssl.key.password",
}
JAVA_IN_KAFKA = {
    "basic.auth.user.info": f"write it in {REGISTRY}",
    "url": f"write it in {REGISTRY}",
}

KERBEROS = (
    "this librdkafka has no Kerberos (GSSAPI), as in the wheels of confluent-kafka; use another mechanism, or build"
    " confluent-kafka from source with it"
)
HINTS = {  # advice by property; for the others, the spelling is the likely mistake
    "url": "it must begin with http:// or https://, with a valid host and port",
    "basic.auth.user.info": "it must be key:secret, and not in url as well",
    "sasl.mechanisms": "it selects how sasl.username and sasl.password are sent, e.g. PLAIN",
    "sasl.username": "sasl.username and sasl.password are both needed",
    "sasl.password": "sasl.username and sasl.password are both needed",
    "sasl.oauthbearer.metadata.authentication.type": (
        "for aws_iam set sasl.oauthbearer.config as well, and type: pip install 'confluent-kafka[oauthbearer-aws]'"
    ),
}
# Texts of librdkafka that name no property, and the property they are about.
UNNAMED = {"SASL mechanism": "sasl.mechanisms", "(plugin ": "plugin.library.paths"}

# Texts of librdkafka about the value of one property
OUT_OF_RANGE = re.compile(r'property "([a-z._]+)" value .*is outside allowed range ([-0-9.]+)')
EMPTY = re.compile(r'property "([a-z._]+)" cannot be set to empty')
NOT_BOOLEAN = re.compile(r'Expected bool value for "([a-z._]+)"')
# and about properties that depend on each other, with their names in backticks.
RULE = re.compile(r"`([a-z._=]+)` ?(?:must|is not supported|is mandatory)")
NAME_IN_RULE = re.compile(r"`([a-z._]+)((?:=[a-z]+)?)`")
SHORTER = {  # parts of a rule, and what to write instead
    "when `enable.idempotence` is true": "for exactly-once delivery (enable.idempotence = true)",
    "set to ": "",
    "set <": "<",
    "set >": ">",
}


def is_secret(key: str) -> bool:
    """Whether the value of a property may be a secret; paths (*.location, *.file) and addresses (*.url) are none."""
    return any(word in key.lower() for word in SECRET_WORDS) and not key.endswith((".location", ".file", ".url"))


def without_userinfo(url: str) -> str:
    """Return a URL with **** for user and password. The match is greedy, because a password may contain a slash."""
    return re.sub(r"//.*@", "//****@", url, flags=re.DOTALL)


def foreign_name_problem(section: str, key: str) -> str:
    """Return what to write instead of a property of a Java client or of another section; empty for other names."""
    misplaced = JAVA_IN_REGISTRY if section == "schema_registry" else JAVA_IN_KAFKA
    if key in misplaced:
        return f"[{section}] {key} does not belong in this section; {misplaced[key]}"
    if key in JAVA:
        return f"[{section}] {key} is a Java client property; {JAVA[key]}"
    return ""


def refused_property(section: str, in_file: Iterable[str], properties: Mapping[str, object], text: str) -> str:
    """Return why a Kafka client refused its properties.

    Parameters
    ----------
    section : section of the file.
    in_file : names of the properties in the file; the message uses these.
    properties : all properties of the client, including those that the program sets.
    text : what the client library says.
    """
    known = set(in_file)
    if found := OUT_OF_RANGE.search(text):
        return f"[{section}] {name_in_file(found[1], known)} must be in {found[2]}; correct or remove the line"
    if found := RULE.search(text):
        return f"[{section}] {rule_problem(text[found.start() :], known, properties)}"
    if found := EMPTY.search(text):
        return f"[{section}] {name_in_file(found[1], known)} is empty; give it a value, or remove the line"
    if found := NOT_BOOLEAN.search(text):
        return f"[{section}] {name_in_file(found[1], known)} must be true or false"
    name = name_in_file("sasl.mechanisms", known)
    if "SASL mechanism GSSAPI" in text and name in known:
        return f"[{section}] {name}: {KERBEROS}"
    return unknown_property(section, properties, text)


def unknown_property(section: str, properties: Iterable[str], text: str) -> str:
    """Return a message with the properties that a client library's text names."""
    names = [name for name in properties if name in text]
    names += [ALIASES[name] for name in re.findall(r'"([a-z.]+)"', text) if ALIASES.get(name) in set(properties)]
    names += [name for name in re.findall(r"\bs(?:sl|asl)\.[a-z.]*[a-z]", text) if name not in names]
    names = list(dict.fromkeys(names))  # without duplicates: a name may be part of its alias
    if not names:
        names = [name for phrase, name in UNNAMED.items() if phrase in text] or ["one property"]
    hint = HINTS.get(names[0], "check the spelling")
    if names[0].endswith(".location"):
        hint = "choose a readable file with valid content"
    return f"[{section}] {' and '.join(names)}: missing, unknown, or without a valid value; {hint}"


def name_in_file(name: str, in_file: set[str]) -> str:
    """Return the property as the file names it: the name itself, or its alias."""
    alias = ALIASES.get(name)
    return alias if alias in in_file and name not in in_file else name


def rule_problem(text: str, in_file: set[str], properties: Mapping[str, object]) -> str:
    """Return a rule of librdkafka about dependent properties, with their values, and which line to change."""
    lines: list[str] = []  # properties of the rule that are in the file

    def with_value(match: re.Match[str]) -> str:
        name = name_in_file(match[1], in_file)
        required_value = match[2]
        if name in in_file:
            lines.append(name)
        elif not required_value and name in properties:
            return f"{name} ({properties[name]} here)"
        elif not required_value and name in DEFAULTS:
            return f"{name} ({DEFAULTS[name]} unless set)"
        return name + required_value

    problem = NAME_IN_RULE.sub(with_value, first_sentence(text))
    if "is mandatory" in problem:
        return f"{problem}; add it"
    if "is not supported" in problem:
        return f"{problem}; remove {lines[0]}"
    return f"{problem}; change or remove {' or '.join(lines)}"


def first_sentence(rule: str) -> str:
    """Return the first sentence of a rule, shortened."""
    sentence = re.split(r"\. |\.?\"?}?$| or share consumer", rule.replace("`must", "` must"), maxsplit=1)[0]
    for phrase, replacement in SHORTER.items():
        sentence = sentence.replace(phrase, replacement)
    return sentence
