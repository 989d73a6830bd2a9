"""The closed sets of words of the document, and its expression for phones. Layer 5.

They are the client's, not ours: spelling and order are the document's.
"""

from enum import StrEnum
from re import ASCII
from re import compile as regex

# Digits are those of ASCII, as in the JavaScript of its clients. It takes what is no phone too, as
# one with a single parenthesis; `phone.parse` has the last word.
PHONE = regex(
    r"((8|\+7)-?)?\(?\d{3,5}\)?-?\d{1}-?\d{1}-?\d{1}-?\d{1}-?\d{1}((-?\d{1})?-?\d{1})?", ASCII
)
MIN_PHONE_LENGTH = 10
MAX_PHONE_LENGTH = 18

CLIENT_TYPES = ("Unknown", "App", "WebApp", "Service", "Android")

# Each with the key that `CAPTCHA` knows the service by.
CAPTCHA_TYPES = {"YandexSmartCaptcha": "yandex", "hCaptcha": "hcaptcha"}


class Word(StrEnum):
    """What went wrong, for programs: the values of `code`. This door says some of them."""

    INTERNAL_SERVER_ERROR = "InternalServerError"
    TOO_MANY_REQUESTS = "TooManyRequests"
    REQUEST_IS_NOT_VALID = "RequestIsNotValid"
    BAD_REQUEST = "BadRequest"
    NO_PERMISSIONS = "NoPermissions"
    UNAUTHORIZED = "Unauthorized"
    NOT_FOUND = "NotFound"
    REFERENCE_NOT_FOUND = "ReferenceNotFound"
    DUPLICATE = "Duplicate"
    NOT_UNIQUE = "NotUnique"
    NOT_NULL_OR_UNIQUE = "NotNullOrUnique"
    NOT_ALLOWED = "NotAllowed"
    NOT_ALLOWED_FOR_ARCHIVED = "NotAllowedForArchived"
    TRY_LATER = "TryLater"
    OPERATION_CANNOT_BE_PERFORMED = "OperationCannotBePerformed"
    NOTIFICATIONS_ARE_OUT_OF_SERVICE = "NotificationsAreOutOfService"
    TRY_SEND_CODE_LATER = "TrySendCodeLater"
    USERNAME_IS_ALREADY_TAKEN = "UsernameIsAlreadyTaken"
    PHONE_IS_NOT_FOUND = "PhoneIsNotFound"
    PHONE_IS_NOT_FOUND_IN_ORGANIZATION = "PhoneIsNotFoundInOrganization"
    PHONE_IS_ALREADY_TAKEN = "PhoneIsAlreadyTaken"
    INVALID_CONFIRMATION_CODE = "InvalidConfirmationCode"
    CONFIRMATION_CODE_WAS_CANCELED = "ConfirmationCodeWasCanceled"
    CONFIRMATION_CODE_WAS_NOT_SEND = "ConfirmationCodeWasNotSend"
    USERNAME_DOES_NOT_EXIST = "UsernameDoesNotExist"
    WRONG_USERNAME_OR_PASSWORD = "WrongUsernameOrPassword"  # noqa: S105 (a word, no secret)
    WRONG_ACTIVATION_CODE = "WrongActivationCode"
    TRY_ACTIVATE_LATER = "TryActivateLater"
    ALIAS_IS_NOT_FOUND = "AliasIsNotFound"
    ALIAS_IS_ALREADY_TAKEN = "AliasIsAlreadyTaken"
    NOT_ALLOWED_FOR_OWNER = "NotAllowedForOwner"
    DEAL_POSITION_HAS_INVALID_QUANTITY = "DealPositionHasInvalidQuantity"
    CHECK_MARKING_CODE_MUST_BE_DISABLED = "CheckMarkingCodeMustBeDisabled"
    LEGAL_ENTITY_CRPT_TOKEN_NOT_SPECIFIED = "LegalEntityCrptTokenNotSpecified"  # noqa: S105 (too)
