"""The properties of the client libraries: their names, and what the libraries say of them in words that can be shown.

A library's own words can quote a value, and a value can be a secret. So only names, limits and rules are taken over.
"""

import re
from collections.abc import Iterable, Mapping

SECRET_WORDS = ("password", "passphrase", "secret", "user.info", "token", ".key", "jaas", "pem", "oauthbearer.config")
HINTS = {  # what a value is like, for properties whose spelling was right if they are named at all
    "url": "it must begin with http:// or https://, with a valid host and port",
    "basic.auth.user.info": "it must be key:secret, and not in url as well",
    "sasl.mechanisms": "it selects how sasl.username and sasl.password are sent, e.g. PLAIN",
    "sasl.username": "sasl.username and sasl.password are both needed",
    "sasl.password": "sasl.username and sasl.password are both needed",
}

TOLD_BY = {"SASL mechanism": "sasl.mechanisms", "(plugin ": "plugin.library.paths"}  # complaints that name none

# Two names of one property: librdkafka takes both, and complains by the first.
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

# Of properties that the file need not hold, as far as rules compare others with them.
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
# What Java's clients and their examples call what is named otherwise here, or is not there.
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
# Kafka's own property there, the Schema Registry client's here.
JAVA_IN_REGISTRY = {
    "bootstrap.servers": "write it in [consumer] and [producer]",
    "ssl.keystore.location": "write ssl.certificate.location and ssl.key.location, with files in PEM",
    "ssl.keystore.password": "write ssl.key.password",
}
JAVA_IN_KAFKA = {
    "basic.auth.user.info": f"write it in {REGISTRY}",
    "url": f"write it in {REGISTRY}",
}

RULE = re.compile(r"`([a-z._=]+)` ?(?:must|is not supported|is mandatory)")
NAMED = re.compile(r"`([a-z._]+)((?:=[a-z]+)?)`")
RANGE = re.compile(r'property "([a-z._]+)" value .*is outside allowed range ([-0-9.]+)')
EXACTLY_ONCE = "when `enable.idempotence` is true"
IN_WORDS = "for labels written exactly once (enable.idempotence = true)"


def is_secret(key: str) -> bool:
    """Whether the value of a property may be a secret; where a secret lies is none."""
    return any(word in key.lower() for word in SECRET_WORDS) and not key.endswith(".location")


def without_userinfo(url: str) -> str:
    """Return an address without name and password; greedy, as a password can hold a slash."""
    return re.sub(r"//.*@", "//****@", url, flags=re.DOTALL)


def other_word(section: str, key: str) -> str:
    """Say what to write instead of a name that is not this client's, nothing for others."""
    here = JAVA_IN_REGISTRY if section == "schema_registry" else JAVA_IN_KAFKA
    if key in here:
        return f"[{section}] {key} does not belong in this section; {here[key]}"
    return f"[{section}] {key} is a Java client property; {JAVA[key]}" if key in JAVA else ""


def unknown_property(section: str, properties: Iterable[str], complaint: str) -> str:
    """Name the property that a client library complains about; its own words can quote a value."""
    names = [name for name in properties if name in complaint]
    names += [ALIASES[name] for name in re.findall(r'"([a-z.]+)"', complaint) if ALIASES.get(name) in set(properties)]
    names += [name for name in re.findall(r"\bs(?:sl|asl)\.[a-z.]*[a-z]", complaint) if name not in names]
    names = list(dict.fromkeys(names))  # a name can be part of its other name
    if not names:
        names = [name for words, name in TOLD_BY.items() if words in complaint] or ["one property"]
    hint = HINTS.get(names[0], "check the spelling")
    if names[0].endswith(".location"):
        hint = "name a file that can be read and holds what it should"
    which = " and ".join(names)
    return f"[{section}] {which}: missing, unknown, or without a valid value; {hint}"


def refused_property(section: str, in_file: Iterable[str], properties: Mapping[str, object], complaint: str) -> str:
    """Say what a Kafka client has against its properties, by the names that the file has.

    Parameters
    ----------
    in_file : the names in the file.
    properties : all that the client was given, with what is set for it here.
    """
    known = set(in_file)
    if found := RANGE.search(complaint):
        return f"[{section}] {spelt(found[1], known)} must be in {found[2]}; correct or remove the line"
    if found := RULE.search(complaint):
        return f"[{section}] {rule(complaint[found.start() :], known, properties)}"
    if found := re.search(r'property "([a-z._]+)" cannot be set to empty', complaint):
        return f"[{section}] {spelt(found[1], known)} is empty; give it a value, or remove the line"
    if found := re.search(r'Expected bool value for "([a-z._]+)"', complaint):
        return f"[{section}] {spelt(found[1], known)} must be true or false"
    return unknown_property(section, properties, complaint)


def spelt(name: str, in_file: set[str]) -> str:
    """Return the name by which the file has a property, as far as it has it."""
    return ALIASES[name] if name not in in_file and ALIASES.get(name) in in_file else name


def rule(complaint: str, in_file: set[str], properties: Mapping[str, object]) -> str:
    """Return one of librdkafka's rules about properties and their partners, and which line to change."""
    lines = list[str]()

    def in_words(found: re.Match[str]) -> str:
        name = spelt(found[1], in_file)
        if name in in_file:
            lines.append(name)
        elif not found[2] and name in properties:
            return f"{name} ({properties[name]} here)"
        elif not found[2] and name in DEFAULTS:
            return f"{name} ({DEFAULTS[name]} unless set)"
        return name + found[2]

    told = NAMED.sub(in_words, without_padding(complaint))
    if "is mandatory" in told:
        return f"{told}; add it"
    if "is not supported" in told:
        return f"{told}; remove {lines[0]}"
    return f"{told}; change or remove {' or '.join(lines)}"


def without_padding(complaint: str) -> str:
    """Return the first sentence of a rule, in our words."""
    sentence = re.split(r"\. |\.?\"?}?$| or share consumer", complaint.replace("`must", "` must"), maxsplit=1)[0]
    for theirs, ours in {EXACTLY_ONCE: IN_WORDS, "set to ": "", "set <": "<", "set >": ">"}.items():
        sentence = sentence.replace(theirs, ours)
    return sentence
