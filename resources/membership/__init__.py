"""Who calls: an API key becomes a CallerContext. One contract, two implementations: a file of keys, the service.

The service's client (service.py, claims.py) is imported by the API alone: the console needs no HTTP library for keys.
"""

from resources.membership.contract import Membership, MembershipReport, caller_id_of
from resources.membership.key_file import KeyFileMembership, KeyRecord

__all__ = ["KeyFileMembership", "KeyRecord", "Membership", "MembershipReport", "caller_id_of"]
