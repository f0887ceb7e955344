"""On an event that did not get through: keep it for an administrator."""

from taskflow.eventing import dead_letter_function
from taskflow.storage import Transaction, dead_letter_store
from taskflow.storage.dead_letter_store import DeadLetter


@dead_letter_function()
def store_dead_letter(letter: DeadLetter, tx: Transaction) -> None:
    dead_letter_store.add(tx, letter)
