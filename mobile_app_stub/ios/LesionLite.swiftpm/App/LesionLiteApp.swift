import SwiftUI

@main
struct LesionLiteApp: App {
    var body: some Scene {
        WindowGroup {
            ContentView()
        }
    }
}
