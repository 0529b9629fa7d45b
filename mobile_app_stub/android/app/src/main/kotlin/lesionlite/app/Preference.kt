package lesionlite.app

import android.content.Context
import lesionlite.core.Accelerator

/** The accelerator that the user has chosen; null if the app chooses. */
class Preference(context: Context) {
    private val preferences = context.getSharedPreferences("accelerator", Context.MODE_PRIVATE)

    var chosen: Accelerator?
        get() = Accelerator.entries.find { it.name == preferences.getString(KEY, null) }
        set(value) = preferences.edit().putString(KEY, value?.name).apply()

    /** The accelerators to try. After a chosen one, only the CPU is left, which is the surest. */
    fun order(): List<Accelerator> =
        chosen?.let { listOf(it, Accelerator.CPU).distinct() } ?: Accelerator.entries

    private companion object {
        const val KEY = "chosen"
    }
}
