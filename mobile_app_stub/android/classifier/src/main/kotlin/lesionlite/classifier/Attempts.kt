package lesionlite.classifier

import android.content.Context
import lesionlite.core.Accelerator
import lesionlite.core.Log

/**
 * Remembers the accelerator that is being tried. A driver that crashes takes the app with it; at the
 * next start, the app knows and leaves that accelerator out, until it is installed anew.
 */
internal class Attempts(context: Context) : Log {
    private val preferences = context.getSharedPreferences("attempts", Context.MODE_PRIVATE)
    private val installed =
        context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime

    override fun crashed(accelerator: Accelerator): Boolean =
        preferences.getLong(accelerator.name, 0) == installed

    // commit, because apply might not have written when the driver crashes
    override fun begin(accelerator: Accelerator) {
        preferences.edit().putLong(accelerator.name, installed).commit()
    }

    override fun end(accelerator: Accelerator) {
        preferences.edit().remove(accelerator.name).apply()
    }
}
