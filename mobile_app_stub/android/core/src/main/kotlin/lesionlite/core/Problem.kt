package lesionlite.core

/** An error that the user or the app's developer can fix. Its message is a sentence to show. */
class Problem(override val message: String, cause: Throwable? = null) : Exception(message, cause)
