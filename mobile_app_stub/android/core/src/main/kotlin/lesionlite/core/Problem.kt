package lesionlite.core

/** What the user or the app's developer can mend: its message is one sentence, fit to be shown. */
class Problem(override val message: String, cause: Throwable? = null) : Exception(message, cause)
