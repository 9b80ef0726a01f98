"""Who may do what: ACLs, SCRAM credentials, and logins with them."""

import base64
import json
import time

from api import kafka
from case import PATIENCE_S, needs, text
from test_admin import done, refused


def test_acls(case):
    admin = case.admin()
    operation, permission = kafka.admin.AclOperation, kafka.admin.AclPermissionType
    kind, pattern = kafka.admin.ResourceType, kafka.admin.ResourcePatternType
    name = case.id("guarded")
    binding = kafka.admin.AclBinding(kind.TOPIC, name, pattern.LITERAL, "User:nobody", "*",
                                     operation.READ, permission.ALLOW)
    wanted = kafka.admin.AclBindingFilter(kind.TOPIC, name, pattern.ANY, None, None,
                                          operation.ANY, permission.ANY)

    def present():
        return admin.describe_acls(wanted).result(PATIENCE_S)

    assert present() == []
    assert done(admin.create_acls([binding])) == {binding: None}
    case.until(lambda: present() == [binding], "the ACL")
    assert done(admin.delete_acls([wanted])) == {wanted: [binding]}
    case.until(lambda: present() == [], "its end")
    assert binding != wanted and hash(binding) == hash(binding)


def login(case, mechanism, **more):
    return case.conf(bootstrap_servers=case.cluster.sasl, security_protocol="sasl_plaintext",
                     sasl_mechanism=mechanism, **more)


@needs("admin.ScramMechanism")
def test_scram(case):
    """Credentials made by the admin client open the door, until they are deleted."""
    admin = case.admin()
    user = case.id("user")
    mechanism = kafka.admin.ScramMechanism.SCRAM_SHA_256
    info = kafka.admin.ScramCredentialInfo(mechanism, 4096)
    insertion = kafka.admin.UserScramCredentialUpsertion(user, info, b"secret", b"salt")
    deletion = kafka.admin.UserScramCredentialDeletion(user, mechanism)
    assert isinstance(insertion, kafka.admin.UserScramCredentialAlteration)

    done(admin.alter_user_scram_credentials([insertion]))

    def credentials():
        try:
            described = done(admin.describe_user_scram_credentials([user]))[user]
        except kafka.KafkaException as error:
            assert error.args[0].code() == kafka.KafkaError.RESOURCE_NOT_FOUND
            return []
        assert isinstance(described, kafka.admin.UserScramCredentialsDescription)
        return [(each.mechanism, each.iterations) for each in described.scram_credential_infos]

    case.until(lambda: credentials() == [(mechanism, 4096)], "the credentials")

    topic = case.topic()
    producer = kafka.Producer(login(case, "SCRAM-SHA-256", sasl_username=user, sasl_password="secret"))
    producer.produce(topic, "let in")
    assert producer.flush(PATIENCE_S) == 0
    consumer = kafka.Consumer({**case.group(), **login(
        case, "SCRAM-SHA-256", sasl_username=user, sasl_password="not yet known")})
    consumer.set_sasl_credentials(user, "secret")
    consumer.assign([kafka.TopicPartition(topic, 0, 0)])
    assert text(case.take(consumer, 1)[0].value()) == "let in"
    consumer.close()

    done(admin.alter_user_scram_credentials([deletion]))
    case.until(lambda: credentials() == [], "their end")
    refused(case, "deleted twice", admin.alter_user_scram_credentials([deletion])[user])

    errors = []
    late = kafka.Producer(login(case, "SCRAM-SHA-256", sasl_username=user, sasl_password="secret",
                                error_cb=errors.append))
    case.poll_until(late, lambda: any(
        each.code() == kafka.KafkaError._AUTHENTICATION for each in errors), "the refusal")


def token(subject, seconds):
    """An unsecured JSON web token."""
    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    now = int(time.time())
    claims = {"sub": subject, "iat": now, "exp": now + seconds}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def test_oauth(case):
    """The application's callback gives the token, with what is in the configuration for it."""
    topic = case.topic()
    asked = []

    def oauth_cb(config):
        asked.append(config)
        return token("suite", 3600), time.time() + 3600

    producer = kafka.Producer(login(case, "OAUTHBEARER", oauth_cb=oauth_cb,
                                    sasl_oauthbearer_config="scope=suite"))
    producer.produce(topic, "with a token")
    assert producer.flush(PATIENCE_S) == 0
    assert [text(each.value()) for each in case.read_all(topic)] == ["with a token"]
    assert set(asked) == {"scope=suite"}
